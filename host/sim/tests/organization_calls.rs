//! Organizations: what the host itself does not use.

mod model_calls;

use model_calls::ModelCalls;
use rstest::rstest;
use serde_json::{Value, json};

const ACCOUNT: &str = "200000000000";

fn organizations() -> ModelCalls {
    ModelCalls::to("AWSOrganizationsV20161128")
}

fn tags(calls: &mut ModelCalls, resource: &str) -> Value {
    calls.ok("ListTagsForResource", &json!({ "ResourceId": resource }))["Tags"].clone()
}

#[rstest]
#[case(ACCOUNT)]
#[case("r-sim1")]
#[case("ou-sim1-00000000")]
fn tags_come_and_go(#[case] resource: &str) {
    let mut calls = organizations();
    let both = json!([{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "" }]);
    calls.ok("TagResource", &json!({ "ResourceId": resource, "Tags": both }));
    assert_eq!(tags(&mut calls, resource), both);
    let again = json!([{ "Key": "a", "Value": "2" }]);
    calls.ok("TagResource", &json!({ "ResourceId": resource, "Tags": again }));
    calls.ok("UntagResource", &json!({ "ResourceId": resource, "TagKeys": ["b", "c"] }));
    assert_eq!(tags(&mut calls, resource), again);
}

#[rstest]
#[case("999999999999", "a", "TargetNotFoundException")]
#[case(ACCOUNT, "", "InvalidInputException")]
#[case(ACCOUNT, "a*b", "InvalidInputException")]
#[case(ACCOUNT, "aws:a", "InvalidInputException")]
fn a_tag_that_can_not_be_is_refused(#[case] resource: &str, #[case] key: &str, #[case] code: &str) {
    let request = json!({ "ResourceId": resource, "Tags": [{ "Key": key, "Value": "" }] });
    assert_eq!(organizations().code("TagResource", &request), code);
}

#[test]
fn a_parent_knows_its_children() {
    let mut calls = organizations();
    let parents = calls.ok("ListParents", &json!({ "ChildId": ACCOUNT }));
    let parent = parents["Parents"][0]["Id"].clone();
    let accounts = calls.ok("ListAccountsForParent", &json!({ "ParentId": parent }));
    assert_eq!(accounts["Accounts"][0]["Id"], ACCOUNT);
    let children = |calls: &mut ModelCalls, parent: &Value, kind: &str| {
        calls.ok("ListChildren", &json!({ "ParentId": parent, "ChildType": kind }))["Children"]
            .clone()
    };
    assert_eq!(children(&mut calls, &parent, "ACCOUNT")[0]["Id"], ACCOUNT);
    let units = children(&mut calls, &json!("r-sim1"), "ORGANIZATIONAL_UNIT");
    assert_eq!(units[0]["Type"], "ORGANIZATIONAL_UNIT");
    assert_eq!(children(&mut calls, &json!("r-sim1"), "ACCOUNT"), json!([]));
    let nowhere = json!({ "ParentId": "r-none", "ChildType": "ACCOUNT" });
    assert_eq!(calls.code("ListChildren", &nowhere), "ParentNotFoundException");
}
