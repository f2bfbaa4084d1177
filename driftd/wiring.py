"""Builds the parts from the settings: the only module that knows them all."""
