"""Turn libraries' errors on damaged or hostile files into SourceErrors of the file; errors of our own code stay what they are."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from traceback import extract_tb

from i2m2_med.errors import SourceError, UserError

LIBRARY = re.compile(
    r"(?:^|site-packages/|python3\.\d+/)(h5py|nibabel|pydicom|ismrmrd|xsdata|xml|json|gzip|zlib|zipfile|tokenize|PIL|SimpleITK|numpy/lib)(?:/|\.py)"
)
"""Libraries that read files, by where their code lies."""


@contextmanager
def blamed_on(name: str) -> Generator[None]:
    """Raise SourceError for what a library raised while it read file `name`."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        library = LIBRARY.search(extract_tb(error.__traceback__)[-1].filename)
        if library is None:
            raise
        raise SourceError(
            f"{name} is damaged, in a way that {library[1]} stumbles over ({type(error).__name__}). Get it again."
        ) from error
