//! The Update Framework. Knows nothing of fleetd.
