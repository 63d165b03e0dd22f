"""Tours: a first one at once, then better and better ones; see `TourSearch`."""

from optimized_tsp.solvers.tsp.tours.tour_search import TourSearch

__all__ = ["TourSearch"]
