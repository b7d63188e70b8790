//! DynamoDB: items, conditions, queries and transactions as a ledger uses them. Anything else is
//! rejected by its name.

mod model_calls;

use std::time::Duration;

use model_calls::ModelCalls;
use rstest::rstest;
use serde_json::{Value, json};

fn dynamo() -> ModelCalls {
    ModelCalls::to("DynamoDB_20120810")
}

fn key(pk: &str, sk: &str) -> Value {
    json!({ "pk": { "S": pk }, "sk": { "S": sk } })
}

fn put(calls: &mut ModelCalls, pk: &str, sk: &str, number: u32) {
    let item = json!({ "pk": { "S": pk }, "sk": { "S": sk }, "n": { "N": number.to_string() } });
    calls.ok("PutItem", &json!({ "TableName": "groundcrew", "Item": item }));
}

fn get(calls: &mut ModelCalls, pk: &str, sk: &str) -> Option<Value> {
    let request = json!({ "TableName": "groundcrew", "Key": key(pk, sk), "ConsistentRead": true });
    calls.ok("GetItem", &request).get("Item").cloned()
}

fn query(condition: &str, values: &Value) -> Value {
    json!({
        "TableName": "groundcrew",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ConsistentRead": true,
    })
}

fn sort_keys(answer: &Value) -> Vec<String> {
    let items = answer["Items"].as_array().unwrap();
    items.iter().map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_table_is_described() {
    let mut calls = dynamo();
    put(&mut calls, "a", "1", 7);
    let table = calls.ok("DescribeTable", &json!({ "TableName": "groundcrew" }))["Table"].take();
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(table["ItemCount"], 1);
    let keys = json!([
        { "AttributeName": "pk", "KeyType": "HASH" },
        { "AttributeName": "sk", "KeyType": "RANGE" },
    ]);
    assert_eq!(table["KeySchema"], keys);
    let absent = json!({ "TableName": "absent" });
    assert_eq!(calls.code("DescribeTable", &absent), "ResourceNotFoundException");
}

#[test]
fn items_are_put_got_and_deleted() {
    let mut calls = dynamo();
    put(&mut calls, "a", "1", 7);
    assert_eq!(get(&mut calls, "a", "1").unwrap()["n"], json!({ "N": "7" }));
    assert_eq!(get(&mut calls, "a", "2"), None);
    put(&mut calls, "a", "1", 8);
    assert_eq!(get(&mut calls, "a", "1").unwrap()["n"], json!({ "N": "8" }));
    let delete = json!({ "Delete": { "TableName": "groundcrew", "Key": key("a", "1") } });
    let delete = json!({ "TransactItems": [delete] });
    assert_eq!(calls.ok("TransactWriteItems", &delete), json!({}));
    assert_eq!(get(&mut calls, "a", "1"), None);
    assert_eq!(calls.ok("TransactWriteItems", &delete), json!({}));
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
    });
    calls.ok("PutItem", &update);
    let refused = calls.call("PutItem", &update).unwrap_err();
    assert_eq!(refused.code, "ConditionalCheckFailedException");
    assert_eq!(refused.body["message"], "The conditional request failed");
    assert_eq!(get(&mut calls, "a", "1").unwrap()["version"], json!({ "N": "2" }));
    update["ConditionExpression"] = "version = :seen OR attribute_exists(#lock)".into();
    assert_eq!(calls.code("PutItem", &update), "ValidationException");
    update["ConditionExpression"] = "attribute_not_exists(pk)".into();
    assert_eq!(calls.code("PutItem", &update), "ValidationException", ":seen is not used");
}

#[rstest]
#[case::no_table("GetItem", json!({ "TableName": "absent", "Key": key("a", "1") }), "ResourceNotFoundException")]
#[case::half_a_key("GetItem", json!({ "TableName": "groundcrew", "Key": { "pk": { "S": "a" } } }), "ValidationException")]
#[case::other_key("GetItem", json!({ "TableName": "groundcrew", "Key": { "pk": { "S": "a" }, "x": { "S": "1" } } }), "ValidationException")]
#[case::no_key("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "a" } } }), "ValidationException")]
#[case::type_of_key("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "a" }, "sk": { "N": "1" } } }), "ValidationException")]
#[case::empty_key("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "" }, "sk": { "S": "1" } } }), "ValidationException")]
#[case::long_key("GetItem", json!({ "TableName": "groundcrew", "Key": key(&"a".repeat(2049), "1") }), "ValidationException")]
#[case::large("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "x": { "S": "x".repeat(400 * 1024) } } }), "ValidationException")]
#[case::unused("PutItem", json!({ "TableName": "groundcrew", "Item": key("a", "1"), "ExpressionAttributeNames": { "#a": "a" } }), "ValidationException")]
#[case::no_types("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": {}, "sk": { "S": "1" } } }), "ValidationException")]
#[case::two_types("PutItem", json!({ "TableName": "groundcrew", "Item": { "pk": { "S": "1", "N": "1" }, "sk": { "S": "1" } } }), "ValidationException")]
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
#[case("BatchGetItem", json!({}), "BatchGetItem")]
#[case("CreateTable", json!({}), "CreateTable")]
#[case("DeleteItem", json!({}), "DeleteItem")]
#[case("DeleteTable", json!({}), "DeleteTable")]
#[case("ListTables", json!({}), "ListTables")]
#[case("Scan", json!({}), "Scan")]
#[case("UpdateItem", json!({}), "UpdateItem")]
#[case("GetItem", json!({ "ProjectionExpression": "n" }), "ProjectionExpression")]
#[case("PutItem", json!({ "ReturnValues": "ALL_OLD" }), "ReturnValues")]
#[case("PutItem", json!({ "ReturnValuesOnConditionCheckFailure": "ALL_OLD" }), "ReturnValuesOnConditionCheckFailure")]
#[case("PutItem", json!({ "Item": { "x": { "BOOL": true } } }), "BOOL")]
#[case("PutItem", json!({ "Item": { "x": { "NULL": true } } }), "NULL")]
#[case("PutItem", json!({ "Item": { "x": { "B": "AA==" } } }), "type B")]
#[case("PutItem", json!({ "Item": { "x": { "SS": ["a"] } } }), "SS")]
#[case("PutItem", json!({ "Item": { "x": { "L": [] } } }), "type L")]
#[case("PutItem", json!({ "Item": { "x": { "M": {} } } }), "type M")]
#[case("PutItem", json!({ "Item": { "x": { "N": "-1.5" } } }), "-1.5")]
#[case("PutItem", json!({ "ConditionExpression": "a < :b" }), "a < :b")]
#[case("Query", json!({ "FilterExpression": "n = :n" }), "FilterExpression")]
#[case("Query", json!({ "IndexName": "by-n" }), "IndexName")]
#[case("Query", json!({ "Limit": 1 }), "Limit")]
#[case("Query", json!({ "ScanIndexForward": false }), "ScanIndexForward")]
#[case("Query", json!({ "Select": "COUNT" }), "Select")]
#[case("TransactWriteItems", json!({ "TransactItems": [{ "ConditionCheck": {} }] }), "ConditionCheck")]
#[case("TransactWriteItems", json!({ "TransactItems": [{ "Update": {} }] }), "Update")]
fn what_is_not_served_is_refused_by_name(
    #[case] operation: &str,
    #[case] more: Value,
    #[case] name: &str,
) {
    let mut request = match operation {
        "GetItem" => json!({ "TableName": "groundcrew", "Key": key("a", "1") }),
        "PutItem" => json!({ "TableName": "groundcrew", "Item": key("a", "1") }),
        "Query" => query("pk = :p", &json!({ ":p": { "S": "a" } })),
        _ => json!({}),
    };
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let refused = dynamo().call(operation, &request).unwrap_err();
    let message = refused.body["message"].as_str().or(refused.body["Message"].as_str()).unwrap();
    assert!(message.contains("the simulated AWS does not"), "{message}");
    assert!(message.contains(name), "{message}");
}

#[test]
fn a_query_finds_a_partition_in_its_order() {
    let mut calls = dynamo();
    for sk in ["b1", "a2", "1", "b2", "a1"] {
        put(&mut calls, "a", sk, 1);
    }
    put(&mut calls, "other", "a1", 1);
    let mut request = query("pk = :p", &json!({ ":p": { "S": "a" } }));
    let found = calls.ok("Query", &request);
    assert_eq!(sort_keys(&found), ["1", "a1", "a2", "b1", "b2"]);
    assert_eq!((&found["Count"], &found["ScannedCount"]), (&json!(5), &json!(5)));
    assert_eq!(found.get("LastEvaluatedKey"), None);
    request["ExclusiveStartKey"] = key("a", "a2");
    assert_eq!(sort_keys(&calls.ok("Query", &request)), ["b1", "b2"]);
    request["ExclusiveStartKey"] = key("other", "a1");
    assert_eq!(calls.code("Query", &request), "ValidationException");
    let nothing = query("pk = :p", &json!({ ":p": { "S": "absent" } }));
    assert_eq!(calls.ok("Query", &nothing)["Count"], 0);
}

#[rstest]
#[case("sk = :p", json!({}))]
#[case("pk <> :p", json!({}))]
#[case("begins_with(pk, :p)", json!({}))]
#[case("attribute_not_exists(pk)", json!({ ":p": null }))]
#[case("pk = :p OR sk = :p", json!({}))]
#[case("pk = :p AND sk = :p", json!({}))]
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
    assert_eq!(dynamo().code("Query", &query(condition, &values)), "ValidationException");
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
    let mut request = query("pk = :p", &json!({ ":p": { "S": "a" } }));
    let (mut sizes, mut seen) = (Vec::new(), Vec::new());
    loop {
        let page = calls.ok("Query", &request);
        sizes.push(page["Count"].as_u64().unwrap());
        seen.extend(sort_keys(&page));
        match page.get("LastEvaluatedKey") {
            Some(last) => request["ExclusiveStartKey"] = last.clone(),
            None => break,
        }
    }
    assert_eq!(sizes, [3, 3, 3, 1]);
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// A transaction that puts one item, deletes one, and replaces one if it is unchanged.
fn transaction() -> Value {
    json!({ "TransactItems": [
        { "Put": { "TableName": "groundcrew", "Item": key("a", "new"),
            "ConditionExpression": "attribute_not_exists(pk)" } },
        { "Delete": { "TableName": "groundcrew", "Key": key("a", "old") } },
        { "Put": { "TableName": "groundcrew",
            "Item": { "pk": { "S": "a" }, "sk": { "S": "lock" }, "n": { "N": "1" } },
            "ConditionExpression": "#n = :n",
            "ExpressionAttributeNames": { "#n": "n" },
            "ExpressionAttributeValues": { ":n": { "N": "1" } } } },
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
    assert_eq!(reasons[2]["Message"], "The conditional request failed");
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
    let delete = json!({ "Delete": { "TableName": "groundcrew", "Key": key("a", "new") } });
    calls.ok("TransactWriteItems", &json!({ "TransactItems": [delete] }));
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
#[case::many(Value::from((0..101).map(|n| json!({ "Put": { "TableName": "groundcrew", "Item": key("a", &n.to_string()) } })).collect::<Vec<_>>()))]
fn other_transactions_are_refused(#[case] items: Value) {
    let code = dynamo().code("TransactWriteItems", &json!({ "TransactItems": items }));
    assert_eq!(code, "ValidationException");
}
