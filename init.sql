-- Database and roles of optimized-tsp, for psql as superuser; safe to run again at any time.
--
-- The embedded server runs this file at every start, the postgres container once, when its volume
-- is new (/docker-entrypoint-initdb.d). Passwords come from the environment, so that the file holds
-- none:
--   OPTIMIZED_TSP_OWNER_PASSWORD      optimized_tsp_owner      owns the database, runs migrations
--   OPTIMIZED_TSP_APP_PASSWORD        optimized_tsp_app        API and workers
--   OPTIMIZED_TSP_REPORTING_PASSWORD  optimized_tsp_reporting  people and their tools, read only
-- Grants on tables and views come with the migrations (optimized_tsp/reporting/grants.sql).

\set ON_ERROR_STOP on
\set owner_password ''
\set app_password ''
\set reporting_password ''
\getenv owner_password OPTIMIZED_TSP_OWNER_PASSWORD
\getenv app_password OPTIMIZED_TSP_APP_PASSWORD
\getenv reporting_password OPTIMIZED_TSP_REPORTING_PASSWORD

SELECT :'owner_password' = '' OR :'app_password' = '' OR :'reporting_password' = ''
    AS password_missing \gset
\if :password_missing
    DO $$ BEGIN
        RAISE 'set OPTIMIZED_TSP_OWNER_PASSWORD, OPTIMIZED_TSP_APP_PASSWORD and OPTIMIZED_TSP_REPORTING_PASSWORD';
    END $$;
\endif

SET client_min_messages = warning;
-- A password is stored as SCRAM, and no statement with one in it is logged.
SET password_encryption = 'scram-sha-256';
SET log_statement = 'none';
SET log_min_error_statement = 'panic';

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['optimized_tsp_owner', 'optimized_tsp_app', 'optimized_tsp_reporting']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

ALTER ROLE optimized_tsp_owner PASSWORD :'owner_password';
ALTER ROLE optimized_tsp_app PASSWORD :'app_password';
ALTER ROLE optimized_tsp_reporting PASSWORD :'reporting_password';

-- A report may be slow, but not hold up vacuum for hours; and it never writes, even by mistake.
ALTER ROLE optimized_tsp_reporting SET default_transaction_read_only = on;
ALTER ROLE optimized_tsp_reporting SET statement_timeout = '5min';
ALTER ROLE optimized_tsp_reporting SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE optimized_tsp_reporting SET search_path = reporting;

SELECT 'CREATE DATABASE optimized_tsp OWNER optimized_tsp_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'optimized_tsp') \gexec

ALTER DATABASE optimized_tsp OWNER TO optimized_tsp_owner;
REVOKE ALL ON DATABASE optimized_tsp FROM PUBLIC;
GRANT CONNECT ON DATABASE optimized_tsp TO optimized_tsp_app, optimized_tsp_reporting;

\connect optimized_tsp
-- In a database made by somebody else (POSTGRES_DB of the container) the schema may not be ours.
ALTER SCHEMA public OWNER TO optimized_tsp_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS reporting AUTHORIZATION optimized_tsp_owner;
