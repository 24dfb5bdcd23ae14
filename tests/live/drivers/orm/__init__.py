"""A shop: the model and the migrations that SQLAlchemy and Alembic run through the proxy."""
