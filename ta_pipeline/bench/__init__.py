"""`ta bench`: what is measured (shapes, steady), how (runner, drain, samples), what is said of it (report, aims)."""
