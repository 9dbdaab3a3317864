"""The PyFlink job: settings -> tables -> windows -> signals -> sinks."""
