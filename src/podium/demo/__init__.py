"""The demo project that ``podium init --demo`` lays out: its settings and its data."""
