-- One row per job ever submitted, deleted ones included; durations in seconds. An initial tour among
-- the parameters is left out: it may be as large as the instance.
CREATE OR REPLACE VIEW reporting.jobs AS
SELECT
    jobs.id AS task_id,
    jobs.tenant_id,
    jobs.solver,
    jobs.version,
    jobs.status,
    jobs.solution_status,
    jobs.stop_reason,
    jobs.name,
    jobs.tags,
    jobs.parameters - 'initial_tour' AS parameters,
    jobs.timeout_s,
    jobs.submitted_at,
    jobs.started_at,
    jobs.completed_at,
    extract(epoch FROM jobs.started_at - jobs.submitted_at)::double precision AS wait_s,
    solutions.wall_time_s AS solve_s,
    jobs.attempt,
    jobs.crashes,
    jobs.error,
    jobs.deleted_at,
    instances.num_nodes,
    instances.num_edges,
    instances.size AS instance_bytes,
    solutions.cost,
    solutions.lower_bound,
    solutions.gap,
    solutions.time_to_first_s,
    solutions.time_to_best_s,
    solutions.infeasibility ->> 'kind' AS infeasibility_kind,
    solutions.statistics,
    solutions.engine,
    solutions.proven_by,
    solutions.root_bound,
    solutions.nodes,
    solutions.cp_sat_s
FROM public.jobs
JOIN public.instances ON instances.digest = jobs.instance_digest
LEFT JOIN public.solutions ON solutions.job_id = jobs.id;

COMMENT ON VIEW reporting.jobs IS 'One row per job ever submitted, deleted ones included.';
