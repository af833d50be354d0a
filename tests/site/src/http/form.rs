//! Reading the post form, urlencoded or multipart, within its bounds.
//!
//! It does not know who sent it.

use axum::extract::multipart::Field;
use axum::extract::{Form, FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;

use crate::limits::{MAX_FORM_PARTS, MAX_IMAGE_BYTES, MAX_IMAGES_PER_POST};
use crate::posts::{Draft, Image};

/// The post form as it was sent.
#[derive(Default)]
pub(super) struct PostForm {
    pub(super) csrf_token: String,
    pub(super) draft: Draft,
}

/// The form's text fields, where it came without pictures.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TextFields {
    csrf_token: String,
    title: String,
    body: String,
}

impl PostForm {
    /// Reads the form; an error is the status to refuse it with.
    pub(super) async fn read(request: Request) -> Result<Self, StatusCode> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_multipart = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().starts_with("multipart/form-data"));
        if is_multipart {
            let parts = Multipart::from_request(request, &()).await;
            return Self::read_parts(parts.map_err(|refused| refused.into_response().status())?).await;
        }
        let Form(fields) =
            Form::<TextFields>::from_request(request, &()).await.map_err(|refused| refused.into_response().status())?;
        let draft = Draft { title: fields.title, body: fields.body, images: Vec::new() };
        Ok(Self { csrf_token: fields.csrf_token, draft })
    }

    async fn read_parts(mut parts: Multipart) -> Result<Self, StatusCode> {
        let mut form = Self::default();
        for _ in 0..MAX_FORM_PARTS {
            let Some(part) = parts.next_field().await.map_err(|error| error.status())? else {
                return Ok(form);
            };
            form.take_part(part).await?;
        }
        Err(StatusCode::PAYLOAD_TOO_LARGE)
    }

    async fn take_part(&mut self, part: Field<'_>) -> Result<(), StatusCode> {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "image" {
            return self.take_image(part).await;
        }
        let text = part.text().await.map_err(|error| error.status())?;
        match name.as_str() {
            "csrf_token" => self.csrf_token = text,
            "title" => self.draft.title = text,
            "body" => self.draft.body = text,
            // Browsers send buttons and whatever else has a name.
            _ => {}
        }
        Ok(())
    }

    async fn take_image(&mut self, part: Field<'_>) -> Result<(), StatusCode> {
        let file_name = part.file_name().unwrap_or_default().to_owned();
        let content_type = part.content_type().unwrap_or("application/octet-stream").to_owned();
        let bytes = part.bytes().await.map_err(|error| error.status())?;
        if file_name.is_empty() && bytes.is_empty() {
            // What browsers send for a file input that was left empty.
            return Ok(());
        }
        if bytes.len() > MAX_IMAGE_BYTES || self.draft.images.len() >= MAX_IMAGES_PER_POST {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        self.draft.images.push(Image { file_name, content_type, bytes });
        Ok(())
    }
}
