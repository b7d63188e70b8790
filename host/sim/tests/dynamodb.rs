//! DynamoDB: tables, items, conditions, queries and transactions.

mod calls;

use std::time::Duration;

use calls::Calls;
use rstest::rstest;
use serde_json::{Value, json};

fn dynamo() -> Calls {
    Calls::to("DynamoDB_20120810")
}

fn key(pk: &str, sk: &str) -> Value {
    json!({ "pk": { "S": pk }, "sk": { "S": sk } })
}

fn put(calls: &mut Calls, pk: &str, sk: &str, number: u32) {
    let item = json!({ "pk": { "S": pk }, "sk": { "S": sk }, "n": { "N": number.to_string() } });
    calls.ok("PutItem", &json!({ "TableName": "groundcrew", "Item": item }));
}

fn get(calls: &mut Calls, pk: &str, sk: &str) -> Option<Value> {
    let request = json!({ "TableName": "groundcrew", "Key": key(pk, sk), "ConsistentRead": true });
    calls.ok("GetItem", &request).get("Item").cloned()
}

fn sort_keys(answer: &Value) -> Vec<String> {
    let items = answer["Items"].as_array().unwrap();
    items.iter().map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_table_becomes_active_and_goes_away() {
    let mut calls = dynamo();
    let create = json!({
        "TableName": "other",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "N" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    let name = json!({ "TableName": "other" });
    let item = json!({ "TableName": "other", "Item": { "id": { "N": "1" } } });
    let created = calls.ok("CreateTable", &create);
    assert_eq!(created["TableDescription"]["TableStatus"], "CREATING");
    assert_eq!(calls.code("CreateTable", &create), "ResourceInUseException");
    assert_eq!(calls.code("DeleteTable", &name), "ResourceInUseException");
    assert_eq!(calls.code("PutItem", &item), "ResourceNotFoundException");
    calls.wait(Duration::from_secs(3));
    assert_eq!(calls.ok("DescribeTable", &name)["Table"]["TableStatus"], "ACTIVE");
    calls.ok("PutItem", &item);
    assert_eq!(calls.ok("DescribeTable", &name)["Table"]["ItemCount"], 1);
    assert_eq!(calls.ok("ListTables", &json!({}))["TableNames"], json!(["groundcrew", "other"]));
    let first = calls.ok("ListTables", &json!({ "Limit": 1 }));
    assert_eq!(
        first,
        json!({ "TableNames": ["groundcrew"], "LastEvaluatedTableName": "groundcrew" })
    );
    let deleted = calls.ok("DeleteTable", &name);
    assert_eq!(deleted["TableDescription"]["TableStatus"], "DELETING");
    calls.wait(Duration::from_secs(3));
    assert_eq!(calls.code("DescribeTable", &name), "ResourceNotFoundException");
    calls.ok("CreateTable", &create);
}

#[rstest]
#[case("TableName", json!("no"))]
#[case("TableName", json!("with space"))]
#[case("KeySchema", json!([]))]
#[case("KeySchema", json!([{ "AttributeName": "id", "KeyType": "RANGE" }]))]
#[case("KeySchema", json!([{ "AttributeName": "other", "KeyType": "HASH" }]))]
#[case("AttributeDefinitions", json!([{ "AttributeName": "id", "AttributeType": "SS" }]))]
#[case("BillingMode", json!("PROVISIONED"))]
#[case("GlobalSecondaryIndexes", json!([{}]))]
fn a_table_that_can_not_be_is_refused(#[case] member: &str, #[case] value: Value) {
    let mut request = json!({
        "TableName": "other",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "N" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    request[member] = value;
    assert_eq!(dynamo().code("CreateTable", &request), "ValidationException");
}

#[test]
fn items_are_put_got_and_deleted() {
    let mut calls = dynamo();
    put(&mut calls, "a", "1", 7);
    assert_eq!(get(&mut calls, "a", "1").unwrap()["n"], json!({ "N": "7" }));
    assert_eq!(get(&mut calls, "a", "2"), None);
    let projected = json!({
        "TableName": "groundcrew", "Key": key("a", "1"),
        "ProjectionExpression": "#n", "ExpressionAttributeNames": { "#n": "n" },
    });
    assert_eq!(calls.ok("GetItem", &projected), json!({ "Item": { "n": { "N": "7" } } }));
    let old = calls.ok(
        "PutItem",
        &json!({
            "TableName": "groundcrew", "Item": key("a", "1"), "ReturnValues": "ALL_OLD",
        }),
    );
    assert_eq!(old["Attributes"]["n"], json!({ "N": "7" }));
    let delete = json!({
        "TableName": "groundcrew", "Key": key("a", "1"), "ReturnValues": "ALL_OLD",
    });
    assert_eq!(calls.ok("DeleteItem", &delete)["Attributes"], key("a", "1"));
    assert_eq!(calls.ok("DeleteItem", &delete), json!({}));
    assert_eq!(get(&mut calls, "a", "1"), None);
}

#[test]
fn a_write_happens_only_if_its_condition_holds() {
    let mut calls = dynamo();
    let create = json!({
        "TableName": "groundcrew",
        "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "version": { "N": "1" } },
        "ConditionExpression": "attribute_not_exists(pk)",
    });
    calls.ok("PutItem", &create);
    assert_eq!(calls.code("PutItem", &create), "ConditionalCheckFailedException");
    let mut update = json!({
        "TableName": "groundcrew",
        "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "version": { "N": "2" } },
        "ConditionExpression": "version = :seen",
        "ExpressionAttributeValues": { ":seen": { "N": "1" } },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    calls.ok("PutItem", &update);
    let refused = calls.call("PutItem", &update).unwrap_err();
    assert_eq!(refused.code, "ConditionalCheckFailedException");
    assert_eq!(refused.body["message"], "The conditional request failed");
    assert_eq!(refused.body["Item"]["version"], json!({ "N": "2" }));
    update["ConditionExpression"] = "version = :seen OR attribute_exists(#lock)".into();
    assert_eq!(calls.code("PutItem", &update), "ValidationException");
    update["ConditionExpression"] = "attribute_exists(pk)".into();
    assert_eq!(calls.code("PutItem", &update), "ValidationException");
}

#[rstest]
#[case::no_table("GetItem", json!({ "TableName": "absent", "Key": key("a", "1") }), "ResourceNotFoundException")]
#[case::half_a_key("GetItem", json!({ "TableName": "groundcrew", "Key": { "pk": { "S": "a" } } }), "ValidationException")]
#[case::other_key("DeleteItem", json!({ "TableName": "groundcrew", "Key": { "pk": { "S": "a" }, "x": { "S": "1" } } }), "ValidationException")]
#[case::no_key("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "a" } } }), "ValidationException")]
#[case::type_of_key("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "a" }, "sk": { "N": "1" } } }), "ValidationException")]
#[case::empty_key("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "" }, "sk": { "S": "1" } } }), "ValidationException")]
#[case::long_key("GetItem", json!({ "TableName": "groundcrew", "Key": key(&"a".repeat(2049), "1") }), "ValidationException")]
#[case::large("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "x": { "S": "x".repeat(400 * 1024) } } }), "ValidationException")]
#[case::unused("GetItem", json!({ "TableName": "groundcrew", "Key": key("a", "1"), "ExpressionAttributeNames": { "#a": "a" } }), "ValidationException")]
#[case::before_expressions("PutItem", json!({ "TableName": "groundcrew", "Item": key("a", "1"), "Expected": {} }), "SerializationException")]
#[case::no_operation("RestoreTable", json!({}), "UnknownOperationException")]
fn what_dynamodb_refuses_is_refused(
    #[case] operation: &str,
    #[case] request: Value,
    #[case] code: &str,
) {
    assert_eq!(dynamo().code(operation, &request), code);
}

#[rstest]
#[case("pk = :p", json!({}), &["1", "a1", "a2", "b1", "b2"])]
#[case("pk = :p AND sk = :s", json!({ ":s": { "S": "a1" } }), &["a1"])]
#[case("pk = :p AND begins_with(sk, :s)", json!({ ":s": { "S": "a" } }), &["a1", "a2"])]
#[case("(pk = :p) AND (sk BETWEEN :s AND :t)", json!({ ":s": { "S": "a2" }, ":t": { "S": "b1" } }), &["a2", "b1"])]
#[case("sk < :s AND pk = :p", json!({ ":s": { "S": "a2" } }), &["1", "a1"])]
#[case("pk = :p AND sk <= :s", json!({ ":s": { "S": "a2" } }), &["1", "a1", "a2"])]
#[case("pk = :p AND sk > :s", json!({ ":s": { "S": "a2" } }), &["b1", "b2"])]
#[case("pk = :p AND sk >= :s", json!({ ":s": { "S": "b2" } }), &["b2"])]
fn a_query_finds_what_its_key_condition_says(
    #[case] condition: &str,
    #[case] mut values: Value,
    #[case] expected: &[&str],
) {
    let mut calls = dynamo();
    for sk in ["b1", "a2", "1", "b2", "a1"] {
        put(&mut calls, "a", sk, 1);
    }
    put(&mut calls, "other", "a1", 1);
    values[":p"] = json!({ "S": "a" });
    let mut request = json!({
        "TableName": "groundcrew",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
    });
    assert_eq!(sort_keys(&calls.ok("Query", &request)), expected);
    request["ScanIndexForward"] = false.into();
    let backward: Vec<&str> = expected.iter().rev().copied().collect();
    assert_eq!(sort_keys(&calls.ok("Query", &request)), backward);
    // One by one, both ways.
    request["Limit"] = 1.into();
    for (forward, expected) in [(true, expected), (false, backward.as_slice())] {
        request["ScanIndexForward"] = forward.into();
        request["ExclusiveStartKey"] = Value::Null;
        let mut seen = Vec::new();
        loop {
            let page = calls.ok("Query", &request);
            seen.extend(sort_keys(&page));
            match page.get("LastEvaluatedKey") {
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
                None => break,
            }
        }
        assert_eq!(seen, expected);
    }
}

#[rstest]
#[case("sk = :p", json!({}))]
#[case("pk <> :p", json!({}))]
#[case("begins_with(pk, :p)", json!({}))]
#[case("pk = :p OR sk = :p", json!({}))]
#[case("pk = :p AND sk <> :p", json!({}))]
#[case("pk = :p AND sk = :p AND sk = :p", json!({}))]
#[case("pk = :p AND n = :p", json!({}))]
#[case("pk = :p AND sk = :n", json!({ ":n": { "N": "1" } }))]
#[case("pk = :n", json!({ ":n": { "N": "1" }, ":p": null }))]
fn other_key_conditions_are_refused(#[case] condition: &str, #[case] mut values: Value) {
    if values.get(":p").is_none() {
        values[":p"] = json!({ "S": "a" });
    }
    values.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let request = json!({
        "TableName": "groundcrew",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
    });
    assert_eq!(dynamo().code("Query", &request), "ValidationException");
}

#[test]
fn a_filter_drops_items_after_they_were_counted() {
    let mut calls = dynamo();
    for number in 0..5 {
        put(&mut calls, "a", &number.to_string(), number);
    }
    let mut request = json!({
        "TableName": "groundcrew",
        "KeyConditionExpression": "pk = :p",
        "FilterExpression": "n IN (:one, :four)",
        "ProjectionExpression": "sk",
        "ExpressionAttributeValues": {
            ":p": { "S": "a" }, ":one": { "N": "1" }, ":four": { "N": "4" },
        },
        "Limit": 3,
    });
    let page = calls.ok("Query", &request);
    assert_eq!(page["Items"], json!([{ "sk": { "S": "1" } }]));
    assert_eq!((&page["Count"], &page["ScannedCount"]), (&json!(1), &json!(3)));
    assert_eq!(page["LastEvaluatedKey"], key("a", "2"));
    request["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
    let page = calls.ok("Query", &request);
    assert_eq!((sort_keys(&page), page.get("LastEvaluatedKey")), (vec!["4".to_owned()], None));
    request["FilterExpression"] = "sk IN (:one, :four)".into();
    assert_eq!(calls.code("Query", &request), "ValidationException");
}

#[test]
fn a_count_has_no_items() {
    let mut calls = dynamo();
    put(&mut calls, "a", "1", 1);
    let answer = calls.ok("Scan", &json!({ "TableName": "groundcrew", "Select": "COUNT" }));
    assert_eq!(answer, json!({ "Count": 1, "ScannedCount": 1 }));
}

#[test]
fn a_page_holds_a_megabyte() {
    let mut calls = dynamo();
    for number in 0..10 {
        let item = json!({
            "pk": { "S": "a" }, "sk": { "S": number.to_string() },
            "x": { "S": "x".repeat(300 * 1024) },
        });
        calls.ok("PutItem", &json!({ "TableName": "groundcrew", "Item": item }));
    }
    for operation in ["Query", "Scan"] {
        let mut request = json!({ "TableName": "groundcrew" });
        if operation == "Query" {
            request["KeyConditionExpression"] = "pk = :p".into();
            request["ExpressionAttributeValues"] = json!({ ":p": { "S": "a" } });
        }
        let mut sizes = Vec::new();
        loop {
            let page = calls.ok(operation, &request);
            sizes.push(page["Count"].as_u64().unwrap());
            match page.get("LastEvaluatedKey") {
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
                None => break,
            }
        }
        assert_eq!(sizes, [3, 3, 3, 1], "{operation}");
    }
}

#[test]
fn a_scan_sees_every_item_once() {
    let mut calls = dynamo();
    for number in 0..50 {
        put(&mut calls, &format!("p{}", number % 7), &number.to_string(), number);
    }
    let mut everything = |mut request: Value| {
        let mut seen = Vec::new();
        loop {
            let page = calls.ok("Scan", &request);
            seen.extend(sort_keys(&page));
            match page.get("LastEvaluatedKey") {
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
                None => break,
            }
        }
        seen
    };
    let mut all = everything(json!({ "TableName": "groundcrew", "Limit": 4 }));
    let mut parallel: Vec<String> = (0..3)
        .flat_map(|segment| {
            everything(json!({
                "TableName": "groundcrew", "Segment": segment, "TotalSegments": 3, "Limit": 4,
            }))
        })
        .collect();
    let mut expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for keys in [&mut all, &mut parallel, &mut expected] {
        keys.sort();
    }
    assert_eq!(all, expected);
    assert_eq!(parallel, expected);
}

/// A transaction that puts one item, deletes one, and checks one.
fn transaction() -> Value {
    json!({ "TransactItems": [
        { "Put": { "TableName": "groundcrew", "Item": key("a", "new"),
            "ConditionExpression": "attribute_not_exists(pk)" } },
        { "Delete": { "TableName": "groundcrew", "Key": key("a", "old") } },
        { "ConditionCheck": { "TableName": "groundcrew", "Key": key("a", "lock"),
            "ConditionExpression": "n = :n",
            "ExpressionAttributeValues": { ":n": { "N": "1" } },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD" } },
    ]})
}

#[test]
fn a_transaction_happens_all_or_not_at_all() {
    let mut calls = dynamo();
    put(&mut calls, "a", "old", 1);
    put(&mut calls, "a", "lock", 2);
    let refused = calls.call("TransactWriteItems", &transaction()).unwrap_err();
    assert_eq!(refused.code, "TransactionCanceledException");
    assert_eq!(
        refused.body["Message"],
        "Transaction cancelled, please refer cancellation reasons for specific reasons [None, None, ConditionalCheckFailed]"
    );
    let reasons = &refused.body["CancellationReasons"];
    assert_eq!(reasons[0], json!({ "Code": "None" }));
    assert_eq!(reasons[2]["Code"], "ConditionalCheckFailed");
    assert_eq!(reasons[2]["Item"]["n"], json!({ "N": "2" }));
    assert!(get(&mut calls, "a", "new").is_none() && get(&mut calls, "a", "old").is_some());

    put(&mut calls, "a", "lock", 1);
    assert_eq!(calls.ok("TransactWriteItems", &transaction()), json!({}));
    assert!(get(&mut calls, "a", "new").is_some() && get(&mut calls, "a", "old").is_none());
    assert_eq!(calls.code("TransactWriteItems", &transaction()), "TransactionCanceledException");
}

#[test]
fn a_repeated_transaction_has_its_effect_once() {
    let mut calls = dynamo();
    put(&mut calls, "a", "lock", 1);
    let mut request = transaction();
    request["ClientRequestToken"] = "token".into();
    calls.ok("TransactWriteItems", &request);
    calls.ok("DeleteItem", &json!({ "TableName": "groundcrew", "Key": key("a", "new") }));
    calls.ok("TransactWriteItems", &request);
    assert_eq!(get(&mut calls, "a", "new"), None);
    let mut other = request.clone();
    other["TransactItems"].as_array_mut().unwrap().pop();
    assert_eq!(calls.code("TransactWriteItems", &other), "IdempotentParameterMismatchException");
    calls.wait(Duration::from_secs(600));
    calls.ok("TransactWriteItems", &request);
    assert!(get(&mut calls, "a", "new").is_some());
}

#[rstest]
#[case::none(json!([]))]
#[case::two_in_one(json!([{ "Put": { "TableName": "groundcrew", "Item": key("a", "1") }, "Delete": { "TableName": "groundcrew", "Key": key("a", "2") } }]))]
#[case::twice(json!([{ "Put": { "TableName": "groundcrew", "Item": key("a", "1") } }, { "Delete": { "TableName": "groundcrew", "Key": key("a", "1") } }]))]
#[case::nothing(json!([{}]))]
#[case::no_condition(json!([{ "ConditionCheck": { "TableName": "groundcrew", "Key": key("a", "1") } }]))]
#[case::many(Value::from((0..101).map(|n| json!({ "Put": { "TableName": "groundcrew", "Item": key("a", &n.to_string()) } })).collect::<Vec<_>>()))]
fn other_transactions_are_refused(#[case] items: Value) {
    let code = dynamo().code("TransactWriteItems", &json!({ "TransactItems": items }));
    assert_eq!(code, "ValidationException");
}

#[test]
fn many_items_are_got_at_once() {
    let mut calls = dynamo();
    for number in 0..60 {
        let item = json!({
            "pk": { "S": "a" }, "sk": { "S": number.to_string() },
            "x": { "S": "x".repeat(300 * 1024) },
        });
        calls.ok("PutItem", &json!({ "TableName": "groundcrew", "Item": item }));
    }
    let keys: Vec<Value> = (0..61).map(|number| key("a", &number.to_string())).collect();
    let wanted = json!({ "groundcrew": { "Keys": keys, "ProjectionExpression": "sk" } });
    let first = calls.ok("BatchGetItem", &json!({ "RequestItems": wanted }));
    let count = |answer: &Value| answer["Responses"]["groundcrew"].as_array().unwrap().len();
    assert_eq!(count(&first), 54, "16 MB");
    let rest = calls.ok("BatchGetItem", &json!({ "RequestItems": first["UnprocessedKeys"] }));
    assert_eq!((count(&rest), &rest["UnprocessedKeys"]), (6, &json!({})));
    let twice = json!({ "groundcrew": { "Keys": [key("a", "1"), key("a", "1")] } });
    assert_eq!(
        calls.code("BatchGetItem", &json!({ "RequestItems": twice })),
        "ValidationException"
    );
}
