"""Types of the arrays that nouns, statistics and kinds exchange."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Times = NDArray[np.datetime64]
Mask = NDArray[np.bool_]
