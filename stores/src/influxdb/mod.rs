//! influxdb.
