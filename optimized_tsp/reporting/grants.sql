-- Run after every migration by the owner of the tables; each statement may be repeated.
GRANT USAGE ON SCHEMA public TO optimized_tsp_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO optimized_tsp_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO optimized_tsp_app;
GRANT USAGE ON SCHEMA reporting TO optimized_tsp_app, optimized_tsp_reporting;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO optimized_tsp_app, optimized_tsp_reporting;
