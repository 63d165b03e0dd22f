"""Tours: a first one at once, then better and better ones; see `tour_search.TourSearch`.

Nothing is imported here: a curve through points (`space_filling`) needs no compiled kernels.
"""
