//! Each server by itself: bad input told with what to do, and breaks in between that lose nothing.

mod elasticsearch;
mod influxdb;
mod kafka;
mod mongodb;
mod postgres;
mod redis;
mod says;
