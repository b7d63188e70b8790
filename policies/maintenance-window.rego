# Change freezes and weekly maintenance windows: outside a window and during a freeze, accounts
# are held until both allow it. Otherwise it abstains, so that other policies decide.
#
# Data, all of it optional:
#   timezone  IANA name of the time zone that days and times of day are meant in; "UTC"
#   windows   [{"days": ["Saturday", "Sunday"], "start": "22:00", "end": "04:00"}]
#             The days are those on which it starts. One that ends earlier than it starts ends
#             the next day; "24:00" is the end of the day. Without windows it is always open.
#   freezes   [{"name": "year end", "from": "2026-12-20T00:00:00Z", "until": "2027-01-04T00:00:00Z"}]
#             RFC 3339. `until` is the first moment after it.
#   actions   the actions that it holds; ["update"]. Notifications are sent at any time.
#   accounts  ids of the accounts that it holds; see `ous`
#   ous       OUs, by name or id, whose accounts it holds, directly or further down. Without
#             `accounts` and `ous` it holds every account.
#
# A held account waits in the lane that other policies name; lanes after it wait as well, unless
# their config has `held = "pass"`.
#
# Times of day are local times: a window is an hour longer or shorter in the night in which the
# clocks change. If it starts in the hour that is left out, it opens up to an hour late. If clocks
# are turned back after its end, its hour is repeated: it is open again then, but no hold waits
# for that.
package maintenance_window

default timezone := "UTC"

timezone := data.timezone

default windows := []

windows := data.windows

default freezes := []

freezes := data.freezes

default actions := ["update"]

actions := data.actions

default accounts := []

accounts := data.accounts

default ous := []

ous := data.ous

# This script names no lane.
lanes := []

day_ns := 86400000000000

decision := "abstain" if {
	not input.action in actions
} else := "abstain" if {
	not is_meant
} else := "abstain" if {
	is_open(input.now_ns)
} else := {"hold": reason, "until": min(soon)} if {
	count(soon) > 0
} else := {"hold": reason, "until": min(later)} if {
	count(later) > 0
} else := {"hold": reason, "until": input.now_ns + day_ns} # No opening found: try again.

is_meant if {
	count(accounts) == 0
	count(ous) == 0
}

is_meant if input.account.id in accounts

is_meant if {
	some unit in input.account.organizational_units
	unit.name in ous
}

is_meant if {
	some unit in input.account.organizational_units
	unit.id in ous
}

reason := sprintf("frozen: %s", [frozen[0]]) if {
	count(frozen) > 0
} else := "outside-maintenance-window"

frozen := [freeze.name |
	some freeze in freezes
	covers(freeze, input.now_ns)
]

is_open(time_ns) if {
	not is_frozen(time_ns)
	is_within(time_ns)
}

is_frozen(time_ns) if {
	some freeze in freezes
	covers(freeze, time_ns)
}

covers(freeze, time_ns) if {
	time.parse_rfc3339_ns(freeze.from) <= time_ns
	time_ns < time.parse_rfc3339_ns(freeze.until)
}

# Whether it is a time of a window.
is_within(_) if count(windows) == 0

is_within(time_ns) if {
	some window in windows
	weekday(time_ns) in window.days
	clock(time_ns) >= window.start
	clock(time_ns) < ends(window)
}

# The morning after.
is_within(time_ns) if {
	some window in windows
	window.end <= window.start
	day_before[weekday(time_ns)] in window.days
	clock(time_ns) < window.end
}

# When a window ends on the day on which it starts, at the latest.
ends(window) := window.end if {
	window.end > window.start
} else := "24:00"

# Texts such as "09:30" have the order of the times that they are.
clock(time_ns) := time.format([time_ns, timezone, "15:04"])

weekday(time_ns) := time.weekday([time_ns, timezone])

day_before := {
	"Monday": "Sunday",
	"Tuesday": "Monday",
	"Wednesday": "Tuesday",
	"Thursday": "Wednesday",
	"Friday": "Thursday",
	"Saturday": "Friday",
	"Sunday": "Saturday",
}

# When it opens within nine days, which have each day of the week whole: where a freeze ends, or
# where a window starts.
soon := starts(input.now_ns) | {end_ns |
	some end_ns in ends_of_freezes
	end_ns < input.now_ns + (9 * day_ns)
	is_open(end_ns)
}

# When it opens after a freeze that lasts longer.
later contains end_ns if {
	some end_ns in ends_of_freezes
	is_open(end_ns)
}

later contains start_ns if {
	some end_ns in ends_of_freezes
	some start_ns in starts(end_ns)
}

ends_of_freezes contains end_ns if {
	some freeze in freezes
	end_ns := time.parse_rfc3339_ns(freeze.until)
	end_ns > input.now_ns
}

# Where windows start in the nine days after a time.
starts(from_ns) := {start_ns |
	some days in numbers.range(-1, 10)
	some window in windows
	shown_ns := shown_start(from_ns + (days * day_ns), window)
	some start_ns in moments(shown_ns)
	start_ns >= from_ns
	start_ns < from_ns + (9 * day_ns)
	is_open(start_ns)
}

# The start of a window on the date of a time, as though in UTC, where it starts on that day.
shown_start(time_ns, window) := time.parse_rfc3339_ns(text) if {
	time.weekday(time_ns) in window.days
	date := time.format([time_ns, "UTC", "2006-01-02"])
	text := sprintf("%sT%s:00+00:00", [date, window.start])
}

# When clocks in the time zone show a time: with the offset from UTC that is in force the day
# before, or the day after. They differ where the clocks are changed.
moments(shown_ns) := {shown_ns - offset(shown_ns - day_ns), shown_ns - offset(shown_ns + day_ns)}

# How far clocks in the time zone are ahead of UTC.
offset(time_ns) := shown_ns - time_ns if {
	text := time.format([time_ns, timezone, "2006-01-02T15:04:05"])
	shown_ns := time.parse_rfc3339_ns(sprintf("%s+00:00", [text]))
}

schema := {
	"properties": {
		"timezone": {"type": "string", "format": "time-zone"},
		"windows": {"type": "array", "items": window_schema},
		"freezes": {"type": "array", "items": freeze_schema},
		"actions": {"type": "array", "items": {"enum": ["onboard", "update", "vend"]}},
		"accounts": {"type": "array", "items": {"type": "string", "pattern": `^[0-9]{12}$`}},
		"ous": {"type": "array", "items": {"type": "string"}},
	},
	"additionalProperties": false,
}

window_schema := {
	"type": "object",
	"properties": {
		"days": {
			"type": "array",
			"minItems": 1,
			"items": {"enum": [day | day_before[day]]},
		},
		"start": {
			"type": "string",
			"pattern": `^([01][0-9]|2[0-3]):[0-5][0-9]$`,
			"description": `a time of day such as "09:30"`,
		},
		"end": {
			"type": "string",
			"pattern": `^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`,
			"description": `a time of day such as "09:30", or "24:00"`,
		},
	},
	"required": ["days", "start", "end"],
	"additionalProperties": false,
}

freeze_schema := {
	"type": "object",
	"properties": {
		"name": {"type": "string"},
		"from": {"type": "string", "format": "date-time"},
		"until": {"type": "string", "format": "date-time"},
	},
	"required": ["name", "from", "until"],
	"additionalProperties": false,
}

problems contains {"at": sprintf("/freezes/%d", [i]), "message": "ends before it begins"} if {
	some i, freeze in freezes
	time.parse_rfc3339_ns(freeze.from) >= time.parse_rfc3339_ns(freeze.until)
}
