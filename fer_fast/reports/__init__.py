"""Pages and figures to look at: templates and drawings that know neither a benchmark nor an evaluation."""
