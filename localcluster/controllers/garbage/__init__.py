"""The garbage collector: objects go when their owners have gone."""
