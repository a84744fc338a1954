//! Operations over HTTP: health, metrics, administration, the console page.
