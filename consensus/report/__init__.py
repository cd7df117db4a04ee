"""The course's report form: fifteen cases, run, judged, and filled in."""
