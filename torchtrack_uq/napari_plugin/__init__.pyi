from .answers import Answer as Answer
from .answers import answers_to as answers_to
from .controller import ReviewController as ReviewController
from .marks import Mark as Mark
from .marks import Spot as Spot
from .marks import marks_of as marks_of
from .opened import OpenedResults as OpenedResults
from .reader import get_reader as get_reader
