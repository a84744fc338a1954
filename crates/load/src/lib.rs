//! Load against any Fanfare: fan-out, pairs, idle connections, reconnect storms.
