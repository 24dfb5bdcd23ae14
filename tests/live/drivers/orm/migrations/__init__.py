"""Where Alembic finds its migrations."""
