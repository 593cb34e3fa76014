"""The mean of members: two or more classifiers of the same classes as one."""
