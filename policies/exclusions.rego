# Skips accounts of some OUs and accounts with some names, and holds or skips accounts that are
# too young. Abstains from all others, so that other policies decide about them.
#
# Data, all of it optional:
#   ous           OUs by name or id; an account is skipped if one of them is anywhere above it
#   names         regular expressions; one that matches a part of the account's name is enough
#   min_age_days  accounts younger than that are held until they are old enough
#   too_young     "hold", or "skip" to pass over them this time
#
# The age matters only for updates: notifications of new accounts are not delayed. An account
# of unknown age is skipped if `min_age_days` is set.
package exclusions

default ous := []

ous := data.ous

default names := []

names := data.names

default too_young := "hold"

too_young := data.too_young

decision := {"skip": "ou-excluded"} if {
	is_below(ous)
} else := {"skip": "name-excluded"} if {
	some name in names
	regex.match(name, input.account.name)
} else := {"skip": "age-unknown"} if {
	age_matters
	not input.account.joined_ns
} else := {"skip": "too-young"} if {
	age_matters
	input.now_ns < old_enough_ns
	too_young == "skip"
} else := {"hold": "too-young", "until": old_enough_ns} if {
	age_matters
	input.now_ns < old_enough_ns
} else := "abstain"

age_matters if {
	input.action == "update"
	data.min_age_days > 0
}

old_enough_ns := input.account.joined_ns + (data.min_age_days * 86400000000000)

# Whether the account is in one of these OUs, directly or further down.
is_below(excluded) if {
	some unit in input.account.organizational_units
	unit.name in excluded
}

is_below(excluded) if {
	some unit in input.account.organizational_units
	unit.id in excluded
}

# This script names no lane.
lanes := []

schema := {
	"properties": {
		"ous": {"type": "array", "items": {"type": "string"}},
		"names": {"type": "array", "items": {"type": "string", "format": "regex"}},
		"min_age_days": {"type": "integer", "minimum": 0},
		"too_young": {"enum": ["hold", "skip"]},
	},
	"additionalProperties": false,
}
