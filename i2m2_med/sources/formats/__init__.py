"""One file format each; they know no data set."""
