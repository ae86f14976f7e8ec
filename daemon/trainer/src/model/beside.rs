//! A new low-rank adapter beside the parent's, and one of both.

use super::adapter::Adapter;
use super::{Model, random};
use crate::error::TrainerError;
use crate::job::tensors::copy_exact;
use crate::low_rank::{Compressed, compress};
use crate::peft::{Factors, LoraSite};
use std::collections::BTreeMap;
use tch::Tensor;
use wengu_protocol::job::{JobEnd, Recompression};

impl Model {
    /// Keeps the low-rank updates as they are and begins new ones of the same ranks beside them: A as a fresh one is drawn, B zero, so
    /// that the answers stay the same.
    pub fn begin_beside_parent(&mut self, seed: u64) -> Result<(), TrainerError> {
        let Adapter::Lora { sites, .. } = &mut self.adapter else {
            let message =
                "only a low-rank adapter can have another one beside it; set `learning.adapter_start` to \"continue\"";
            return Err(TrainerError::new(JobEnd::BadJob, message));
        };
        for site in sites {
            begin(site, seed)?;
        }
        Ok(())
    }

    /// Whether the parent's updates are kept beside the new ones.
    pub fn is_beside_parent(&self) -> bool {
        self.adapters().iter().any(|site| site.parent.is_some())
    }

    /// Puts the update nearest to the parent's and the new one together into the new one's factors, and zero into the parent's. None
    /// where there is no parent's.
    pub fn recompress(&self) -> Result<Option<Recompression>, TrainerError> {
        let (mut whole, mut lost, mut layers) = (0.0, 0.0, BTreeMap::new());
        for site in self.adapters() {
            let Some(Compressed { whole: w, lost: l, .. }) = joined(site)? else {
                continue;
            };
            layers.insert(site.name.clone(), relative(l, w));
            let squared = site.scaling * site.scaling;
            (whole, lost) = (whole + squared * w, lost + squared * l);
        }
        Ok((!layers.is_empty()).then(|| Recompression {
            relative_error: relative(lost, whole),
            layers,
        }))
    }

    /// The same for good: one adapter is left, which can be written.
    pub fn join_parent(&mut self) -> Result<Option<Recompression>, TrainerError> {
        let said = self.recompress()?;
        if let Adapter::Lora { sites, .. } = &mut self.adapter {
            sites.iter_mut().for_each(|site| site.parent = None);
        }
        Ok(said)
    }
}

fn begin(site: &mut LoraSite, seed: u64) -> Result<(), TrainerError> {
    if site.dora.is_some() {
        let message =
            "with DoRA a new adapter cannot be added to the one before; set `learning.adapter_start` to \"continue\"";
        return Err(TrainerError::new(JobEnd::BadJob, message));
    }
    let bound = 1.0 / (site.a.size()[1] as f64).sqrt();
    // Another name than a first adapter's: the same seed would draw the rows that the parent began from.
    let name = format!("{}.lora_A.weight beside the parent's", site.name);
    let a = random::uniform(seed, &name, &site.a.size(), bound)?.f_set_requires_grad(true)?;
    let b = site.b.f_detach()?.f_zeros_like()?.f_set_requires_grad(true)?;
    let parent = Factors {
        a: std::mem::replace(&mut site.a, a).f_detach()?,
        b: std::mem::replace(&mut site.b, b).f_detach()?,
    };
    site.parent = Some(parent);
    Ok(())
}

/// Joins what a site has of its parent into its own factors. The tensors stay the same ones.
fn joined(site: &LoraSite) -> Result<Option<Compressed>, TrainerError> {
    let Some(parent) = &site.parent else { return Ok(None) };
    let one = compress(&[(&parent.b, &parent.a), (&site.b, &site.a)], site.a.size()[0])?;
    // Rows as long as those of a fresh A, whose numbers are uniform below 1 / sqrt(in): training goes on as from one.
    let length = (1.0f64 / 3.0).sqrt();
    let put = |target: &Tensor, value: Tensor| -> Result<(), TrainerError> {
        let value = value.f_to_kind(target.f_kind()?)?;
        copy_exact(target, &value).map_err(|why| TrainerError::new(JobEnd::Internal, format!("{}: {why}", site.name)))
    };
    put(&site.a, one.a.f_mul_scalar(length)?)?;
    put(&site.b, one.b.f_div_scalar(length)?)?;
    put(&parent.b, parent.b.f_zeros_like()?)?;
    Ok(Some(one))
}

/// `|lost| / |whole|` from their squares. Where there was nothing, nothing was lost.
fn relative(lost: f64, whole: f64) -> f64 {
    if whole > 0.0 { (lost / whole).sqrt() } else { 0.0 }
}
