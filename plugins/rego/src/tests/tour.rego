# A tour of the language: what policies are likely to use, and what goes wrong in some of them.
package tour["of-all"].things

import data.limits as bounds
import input.account.tags

default decision := "abstain"

# Without sprintf("%s", …): regopy 1.5.2 quotes some texts in it.
decision := {"skip": outcome} if {
	outcome := checks[step].reason
	step == min({i | checks[i].reason})
}

# Not of input.now_ns: regopy 1.5.2 divides large numbers inexactly.
step_of := data.steps[input.account.id]

# Each candidate takes one of twelve paths.
checks[0] := {"reason": concat(",", sort([unit.name | some unit in units]))} if step_of == 0

checks[1] := {"reason": tags.owner} if step_of == 1

checks[2] := {"reason": "no owner"} if {
	step_of == 2
	not tags.owner
}

checks[3] := {"reason": number(bounds.high, count(units))} if step_of == 3

checks[4] := {"reason": time.format([input.now_ns, zone, "Mon 2006-01-02T15:04:05-07:00"])} if {
	step_of == 4
	zone := data.zones[count(input.account.name) % count(data.zones)]
}

checks[5] := {"reason": json.marshal({"days": days, "set": {3, 1, 2}, "date": [y, m, d]})} if {
	step_of == 5
	days := time.diff(input.now_ns, input.account.joined_ns)[2]
	[y, m, d] := time.date([input.now_ns, "Asia/Kolkata"])
}

checks[6] := {"reason": replace(trim(input.account.name, " <>"), "-", "_")} if {
	step_of == 6
	every unit in units {
		startswith(unit.name, "S") == false # `not` in `every` is always true for regopy 1.5.2.
	}
}

# Fails where the name is no number.
checks[7] := {"reason": sprintf("%d", [to_number(input.account.name)])} if step_of == 7

# Contradicts itself for some accounts.
checks[8] := {"reason": kind} if step_of == 8

kind := "production" if "Prod" in input.account.ou

kind := "development" if "Dev" in input.account.ou

kind := "other" if count(input.account.ou) == 0

checks[9] := {"reason": text} if {
	step_of == 9
	matches := regex.find_n(`[a-z]+`, input.account.name, -1)
	text := concat("|", array.concat(matches, split(object.get(tags, "owner", "x,y"), ",")))
}

checks[10] := {"reason": object.get(input, ["event", "detail", "list"], ["none"])[0]} if step_of == 10

checks[11] := {"reason": concat(" ", sort(union({{"a"}, names - {"Prod"}, names & {"Dev"}})))} if {
	step_of == 11
	names := {unit.name | some unit in units}
}

units := input.account.organizational_units

number(limit, count) := "many" if {
	count >= limit
} else := "some" if {
	count > 0
} else := "none"
