# Canaries first, then ring after ring: each account is updated in the lane of its ring.
#
# Data, all of it optional:
#   canaries         ids of accounts that go first
#   canary_ous       OUs, by name or id, whose accounts go first
#   canary_tags      tags, any one of which is enough to go first: {"rollout": "canary"}
#   canary_lane      their lane; the first one unless set
#   environment_tag  key of the tag that says which environment an account is; "environment"
#   rings            in order: [{"lane": "test", "environments": ["dev"], "ous": ["Dev"]}]
#   default_lane     where accounts of no ring go; unless set, they are skipped
#
# The tag decides; an account whose tag names no ring goes by its OUs. With several rings to
# choose from, the first one is taken. An account whose tags can't be read is no canary for
# certain and no prod for certain: unless its id or an OU makes it a canary, it is skipped.
package ring_rollout

default canaries := []

canaries := data.canaries

default canary_ous := []

canary_ous := data.canary_ous

default canary_tags := {}

canary_tags := data.canary_tags

canary_lane := data.canary_lane if {
	data.canary_lane
} else := data.lanes[0]

default environment_tag := "environment"

environment_tag := data.environment_tag

default rings := []

rings := data.rings

decision := {"proceed": canary_lane} if {
	is_canary
} else := {"skip": "tags-unreadable"} if {
	input.account.tags_unreadable
} else := {"proceed": by_tag[0]} if {
	count(by_tag) > 0
} else := {"proceed": by_ou[0]} if {
	count(by_ou) > 0
} else := {"proceed": data.default_lane} if {
	data.default_lane
} else := {"skip": "no-ring"}

is_canary if input.account.id in canaries

is_canary if is_below(canary_ous)

is_canary if {
	some key, value in canary_tags
	input.account.tags[key] == value
}

by_tag := [ring.lane |
	some ring in rings
	input.account.tags[environment_tag] in ring.environments
]

by_ou := [ring.lane |
	some ring in rings
	is_below(ring.ous)
]

# Whether the account is in one of these OUs, directly or further down.
is_below(ous) if {
	some unit in input.account.organizational_units
	unit.name in ous
}

is_below(ous) if {
	some unit in input.account.organizational_units
	unit.id in ous
}

# What `decision` may name: groundcrew finds a lane that nothing reaches, or that isn't there.
lanes contains canary_lane

lanes contains ring.lane if some ring in rings

lanes contains data.default_lane

schema := {
	"properties": {
		"canaries": {"type": "array", "items": account_id},
		"canary_ous": {"type": "array", "items": {"type": "string"}},
		"canary_tags": {"type": "object", "additionalProperties": {"type": "string"}},
		"canary_lane": {"enum": data.lanes},
		"environment_tag": {"type": "string"},
		"rings": {"type": "array", "items": ring_schema},
		"default_lane": {"enum": data.lanes},
	},
	"additionalProperties": false,
}

account_id := {
	"type": "string",
	"pattern": `^[0-9]{12}$`,
	"description": "an account id, a string of twelve digits",
}

ring_schema := {
	"type": "object",
	"properties": {
		"lane": {"enum": data.lanes},
		"environments": {"type": "array", "items": {"type": "string"}},
		"ous": {"type": "array", "items": {"type": "string"}},
	},
	"required": ["lane"],
	"additionalProperties": false,
}

problems contains {"at": sprintf("/rings/%d", [i]), "message": message} if {
	some i, ring in rings
	not ring.environments
	not ring.ous
	message := "a ring without `environments` and `ous` has no accounts"
}
