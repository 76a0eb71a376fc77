"""The database: connections, tables, migrations, the embedded server. Knows nothing above it but the settings."""
