"""The embedded corpus: facts and names of Unicode CLDR, put into sentences in fourteen languages, offline."""

from xlret.data.atlas.build import AtlasReport, build_atlas
from xlret.data.atlas.phrasings import LANGUAGES
from xlret.data.atlas.rows import HELD_OUT, Split, atlas_rows

__all__ = ["HELD_OUT", "LANGUAGES", "AtlasReport", "Split", "atlas_rows", "build_atlas"]
