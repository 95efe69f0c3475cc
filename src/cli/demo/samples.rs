//! The samples the demo posts: all there are of what these vendors post. A test
//! in the suite holds these lists against the folders.

/// Its name, and its body.
pub(super) type Sample = (&'static str, &'static [u8]);

macro_rules! samples {
    ($($name:literal,)*) => {
        &[$((
            $name,
            include_bytes!(concat!("../../../tests/suite/fixtures/samples/", $name)),
        )),*]
    };
}

/// In the order they are posted.
pub(super) const SOURCES: [&str; 3] = ["quiq", "dixa", "qiscus"];

/// All that a source is posted.
pub(super) fn of(source: &str) -> Vec<Sample> {
    match source {
        "qiscus" => QISCUS.to_vec(),
        "dixa" => DIXA.to_vec(),
        "quiq" => [QUIQ, &[SILENT]].concat(),
        _ => Vec::new(),
    }
}

/// The SDK's older shape, then Omnichannel's and v2.1's.
pub(super) const QISCUS: &[Sample] = samples![
    "qiscus/post_comment_mobile_button_postback_response.json",
    "qiscus/post_comment_mobile_contact_person_email.json",
    "qiscus/post_comment_mobile_contact_person_phone_default.json",
    "qiscus/post_comment_mobile_contact_person_type_empty.json",
    "qiscus/post_comment_mobile_file_attachment_image.json",
    "qiscus/post_comment_mobile_file_attachment_minimal.json",
    "qiscus/post_comment_mobile_file_attachment_voice.json",
    "qiscus/post_comment_mobile_location.json",
    "qiscus/post_comment_mobile_location_out_of_range.json",
    "qiscus/post_comment_mobile_reply.json",
    "qiscus/post_comment_mobile_reply_minimal.json",
    "qiscus/post_comment_mobile_text.json",
    "qiscus/post_comment_mobile_text_single_room.json",
    "qiscus/post_comment_rest_account_linking.json",
    "qiscus/post_comment_rest_buttons.json",
    "qiscus/post_comment_rest_card.json",
    "qiscus/post_comment_rest_card_image_url.json",
    "qiscus/post_comment_rest_carousel.json",
    "qiscus/post_comment_rest_custom_array_content.json",
    "qiscus/post_comment_rest_custom_object.json",
    "qiscus/post_comment_rest_custom_string_content.json",
    "qiscus/post_comment_rest_system_event_add_member.json",
    "qiscus/post_comment_rest_system_event_change_room_avatar.json",
    "qiscus/post_comment_rest_system_event_change_room_name.json",
    "qiscus/post_comment_rest_system_event_create_room.json",
    "qiscus/post_comment_rest_system_event_custom.json",
    "qiscus/post_comment_rest_system_event_custom_flat.json",
    "qiscus/post_comment_rest_system_event_join_room.json",
    "qiscus/post_comment_rest_system_event_left_room.json",
    "qiscus/post_comment_rest_system_event_remove_member.json",
    "qiscus/post_comment_rest_text.json",
    "qiscus_omnichannel/bot_post_comment_mobile_file_attachment.json",
    "qiscus_omnichannel/bot_post_comment_mobile_location.json",
    "qiscus_omnichannel/bot_post_comment_mobile_text.json",
    "qiscus_omnichannel/custom_agent_allocation.json",
    "qiscus_omnichannel/mark_as_resolved.json",
    "qiscus_omnichannel/new_session.json",
    "qiscus_omnichannel/post_comment_rest_agent_text.json",
    "qiscus_omnichannel/sdk_v21_channel_room_without_participants.json",
    "qiscus_omnichannel/sdk_v21_post_comment_mobile_text.json",
];

/// Webhooks; what Quiq posts to agent hooks is not meant for a gateway.
const QUIQ: &[Sample] = samples![
    "quiq/conversation_activated.json",
    "quiq/conversation_closed.json",
    "quiq/conversation_closed_2024_fields.json",
    "quiq/conversation_closed_system_message_null_names.json",
    "quiq/conversation_denied_as_spam.json",
    "quiq/conversation_inactivated.json",
    "quiq/conversation_merged_as_dangling.json",
    "quiq/conversation_requested.json",
    "quiq/conversation_status_changed.json",
    "quiq/test.json",
];

/// Leaves out its messages, for `fetch` to ask for.
const SILENT: Sample = (
    "a Quiq webhook without its messages",
    br#"{
  "id": "0b1f7f64-0a39-4f0e-9a3c-1b2f1f1c0010",
  "eventType": "ConversationStatusChanged",
  "timestamp": 1577880000000,
  "data": {"id": "12345", "status": "active"}
}"#,
);

/// Of one conversation that began in Dixa.
const DIXA: &[Sample] = samples![
    "dixa/conversation_closed.json",
    "dixa/conversation_created.json",
    "dixa/conversation_message_added_echo_of_our_own.json",
    "dixa/conversation_message_added_inbound.json",
    "dixa/conversation_message_added_outbound.json",
    "dixa/conversation_note_added.json",
    "dixa/conversation_pending.json",
    "dixa/conversation_rated.json",
    "dixa/conversation_tag_added.json",
];
