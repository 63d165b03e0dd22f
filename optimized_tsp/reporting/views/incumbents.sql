-- The anytime curve of every job: one row per better solution or bound, kept for ever.
CREATE OR REPLACE VIEW reporting.incumbents AS
SELECT
    incumbents.job_id AS task_id,
    jobs.tenant_id,
    jobs.solver,
    jobs.version,
    incumbents.attempt,
    incumbents.elapsed_s,
    incumbents.cost,
    incumbents.lower_bound,
    incumbents.gap,
    incumbents.at
FROM public.incumbents
JOIN public.jobs ON jobs.id = incumbents.job_id;

COMMENT ON VIEW reporting.incumbents IS 'The anytime curve of every job ever submitted, one row per better solution or bound.';
