"""Tests of the function controller."""
