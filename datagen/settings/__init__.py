"""Settings, a file for each section; `datagen.config` puts them together."""
