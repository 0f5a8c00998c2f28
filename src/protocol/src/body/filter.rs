//! `config/consumerFilter.json`: the expressions of groups that filter by properties. Java: `ConsumerFilterManager`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerFilters {
    /// By topic.
    pub filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

/// The groups that filter one topic. Java: `FilterDataMapByTopic`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicFilters {
    /// By group.
    pub group_filter_data: BTreeMap<String, ConsumerFilterData>,
    /// The topic again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// One group's expression for one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerFilterData {
    /// Its bits in the bloom filters of extended queue units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom_filter_data: Option<BloomFilterData>,
    /// When it came, ms since 1970.
    pub born_time: i64,
    /// Version of the subscription, the client's ms since 1970.
    pub client_version: i64,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<String>,
    /// Whether `deadTime` counts; written, not read.
    pub dead: bool,
    /// When its group's last member left, ms since 1970; 0 while it lives.
    pub dead_time: i64,
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// SQL92.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

impl ConsumerFilterData {
    /// As 321 shows it: one line a member, indented by tabs.
    pub fn pretty(&self) -> Result<String, json::Error> {
        let text = |member: &Option<String>| match member {
            Some(text) => Ok(String::from_utf8_lossy(&json::to_vec(text)?).into_owned()),
            None => Ok("null".to_owned()),
        };
        let mut lines = Vec::new();
        if let Some(bloom) = &self.bloom_filter_data {
            let bits: Vec<String> = bloom.bit_pos.iter().map(i32::to_string).collect();
            lines.push(format!(
                "\t\"bloomFilterData\":{{\n\t\t\"bitNum\":{},\n\t\t\"bitPos\":[{}]\n\t}}",
                bloom.bit_num,
                bits.join(",")
            ));
        }
        lines.push(format!("\t\"bornTime\":{}", self.born_time));
        lines.push(format!("\t\"clientVersion\":{}", self.client_version));
        lines.push(format!("\t\"consumerGroup\":{}", text(&self.consumer_group)?));
        lines.push(format!("\t\"dead\":{}", self.dead));
        lines.push(format!("\t\"deadTime\":{}", self.dead_time));
        lines.push(format!("\t\"expression\":{}", text(&self.expression)?));
        lines.push(format!("\t\"expressionType\":{}", text(&self.expression_type)?));
        lines.push(format!("\t\"topic\":{}", text(&self.topic)?));
        Ok(format!("{{\n{}\n}}", lines.join(",\n")))
    }
}

/// Java: `BloomFilterData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BloomFilterData {
    /// Bits of the filter.
    pub bit_num: i32,
    /// Which of them are the group's.
    pub bit_pos: Vec<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a 5.5.0 broker answered 321.
    #[test]
    fn shown_as_by_apache() {
        let data = ConsumerFilterData {
            bloom_filter_data: Some(BloomFilterData { bit_num: 112, bit_pos: vec![70, 23, 88] }),
            born_time: 1_795_552_886_626,
            client_version: 5,
            consumer_group: Some("g2".into()),
            expression: Some("n > 1".into()),
            expression_type: Some("SQL92".into()),
            topic: Some("TA".into()),
            ..Default::default()
        };
        let shown = "{\n\t\"bloomFilterData\":{\n\t\t\"bitNum\":112,\n\t\t\"bitPos\":[70,23,88]\n\t},\n\t\"bornTime\":\
                     1795552886626,\n\t\"clientVersion\":5,\n\t\"consumerGroup\":\"g2\",\n\t\"dead\":false,\n\t\"deadTime\":0,\
                     \n\t\"expression\":\"n > 1\",\n\t\"expressionType\":\"SQL92\",\n\t\"topic\":\"TA\"\n}";
        assert_eq!(data.pretty().expect("text"), shown);
    }
}
