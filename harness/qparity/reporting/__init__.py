"""Rendering: a run's view as one self-contained HTML file (`html.render`), and the live view of a sweep (`live`).

Nothing is imported here: a sweep shows its progress without loading what draws charts.
"""
