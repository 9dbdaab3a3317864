"""What to do when the state is gone, or came too late: the job is rebuilt from its inputs, a gap is given out."""
