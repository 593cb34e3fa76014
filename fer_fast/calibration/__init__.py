"""How sure a model's answers should be: temperature and class mix, fitted on labelled faces, with the gain shown."""
