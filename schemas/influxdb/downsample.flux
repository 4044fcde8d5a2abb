// Sums of wardhouse's throughput by hour, for questions about long times. Made by `wardhouse migrate`, and by a metrics sink whose
// token may. The last day is summed anew each time: a point that comes late, up to a day, is in it, and running twice changes nothing.
import "date"

option task = {name: {{task}}, every: 1h, offset: 10m}

start = date.truncate(t: -25h, unit: 1h)
stop = date.truncate(t: now(), unit: 1h)

from(bucket: {{bucket}})
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "throughput" and r._field != "score_max")
    |> aggregateWindow(every: 1h, fn: sum, createEmpty: false, timeSrc: "_start")
    |> set(key: "_measurement", value: "throughput_1h")
    |> to(bucket: {{hourly}})

from(bucket: {{bucket}})
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "throughput" and r._field == "score_max")
    |> aggregateWindow(every: 1h, fn: max, createEmpty: false, timeSrc: "_start")
    |> set(key: "_measurement", value: "throughput_1h")
    |> to(bucket: {{hourly}})
