-- Run once by the image, on an empty data folder: a role and a database of its own for each part.
-- \getenv keeps the passwords out of the command line and of this file.
\set ON_ERROR_STOP on
\getenv driftd_password DRIFTD_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
CREATE ROLE driftd LOGIN PASSWORD :'driftd_password';
CREATE DATABASE driftd OWNER driftd;
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
-- MLflow keeps its users apart from its runs: both sets of tables have a version of their own.
CREATE DATABASE mlflow_users OWNER mlflow;
REVOKE ALL ON DATABASE driftd, mlflow, mlflow_users FROM PUBLIC;
