"""One YAML file of sentences per language; xlret.data.atlas.phrasings reads them."""
