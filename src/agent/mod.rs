//! What fleetd is: components, platforms, configuration, the tree on a host.
