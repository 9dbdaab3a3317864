"""The domain and the clients of the TA platform: imports neither Dagster nor PyFlink."""
