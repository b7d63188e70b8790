# Selects by OU and by name the new accounts that are notified of. Doesn't decide about updates.
#
# Data, all of it optional:
#   ous           OUs by name or id; other accounts are skipped. Without it, none are.
#   except_ous    OUs whose accounts are skipped; they win over `ous`
#   except_names  regular expressions; an account whose name one of them matches is skipped
#
# An account of unknown OUs is notified of, unless its name matches: a notification too many is
# better than a missing one.
package onboard_by_ou

default except_ous := []

except_ous := data.except_ous

default except_names := []

except_names := data.except_names

decision := "abstain" if {
	input.action != "onboard"
} else := {"skip": "name-not-told"} if {
	some name in except_names
	regex.match(name, input.account.name)
} else := {"skip": "ou-not-told"} if {
	is_below(except_ous)
} else := {"skip": "ou-not-told"} if {
	count(data.ous) > 0
	count(input.account.organizational_units) > 0
	not is_below(data.ous)
} else := "abstain"

# Whether the account is in one of these OUs, directly or further down.
is_below(ous) if {
	some unit in input.account.organizational_units
	unit.name in ous
}

is_below(ous) if {
	some unit in input.account.organizational_units
	unit.id in ous
}

# This script names no lane.
lanes := []

schema := {
	"properties": {
		"ous": {"type": "array", "items": {"type": "string"}},
		"except_ous": {"type": "array", "items": {"type": "string"}},
		"except_names": {"type": "array", "items": {"type": "string", "format": "regex"}},
	},
	"additionalProperties": false,
}
