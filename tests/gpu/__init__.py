"""Tests that need a GPU: `./run test gpu`. A package, so that its files may be called like those of tests/python."""
