use super::{Cancel, Inputs, inputs};
use crate::discriminant::{ClassStatistics, Drift, Kept};
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::model::Model;
use tch::{Kind, Tensor};
use wengu_protocol::job::Phase;

/// The texts of an update: new ones, and those in the memory.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    /// New.
    pub train: &'a Inputs,
    /// Remembered.
    pub replay: Option<&'a Inputs>,
}

impl Texts<'_> {
    /// Their vectors as the model is now, F32 [new and remembered, hidden], where `seen` has those of some texts already. Tells what it does as `phase`.
    pub fn vectors(
        &self,
        model: &Model,
        seen: Option<(&Inputs, &Tensor)>,
        phase: Phase,
        progress: &mut ProgressLog,
        cancel: &Cancel,
    ) -> Result<Tensor, TrainerError> {
        let sets = std::iter::once(self.train).chain(self.replay);
        let found: Vec<_> = sets
            .map(|set| {
                (
                    set,
                    seen.and_then(|(texts, vectors)| Some((set.places_in(texts)?, vectors))),
                )
            })
            .collect();
        let missing = found.iter().filter(|(_, seen)| seen.is_none());
        progress.begin(phase, 0, missing.map(|(set, _)| Inputs::answer_steps(set.set())).sum())?;
        let vectors = found.into_iter().map(|(set, seen)| match seen {
            Some((places, vectors)) => Ok(vectors.f_index_select(0, &inputs::index(&places)?)?),
            None => set.vectors(model, progress, cancel),
        });
        let vectors: Vec<Tensor> = vectors.collect::<Result<_, TrainerError>>()?;
        progress.end()?;
        Ok(Tensor::f_cat(&vectors, 0)?)
    }
}

/// Class statistics of all that was ever learned, in the vectors of the model as it is now. `before` are the texts' vectors before the
/// update's first step, `now` those after its last. Without a parent's statistics, what the memory holds stands for what was learned before.
pub fn class_statistics(
    parent: Option<ClassStatistics>,
    before: Option<&Tensor>,
    now: &Tensor,
    texts: Texts,
    model: &Model,
) -> Result<ClassStatistics, TrainerError> {
    let (classes, hidden) = (model.labels().len(), model.limits().hidden_size);
    let new = texts.train.set().len() as i64;
    let shares = |set: &Inputs| set.set().label_shares(classes);
    let mut statistics = match (parent, before) {
        (Some(parent), Some(before)) => {
            let parent = if model.has_adapter() {
                Drift::fit(before, now)?.applied(parent)?
            } else {
                parent
            };
            parent.grown(classes as i64)?
        }
        _ => {
            let mut statistics = ClassStatistics::empty(classes as i64, hidden)?;
            if let Some(replay) = texts.replay {
                let remembered = now.f_narrow(0, new, replay.set().len() as i64)?;
                statistics.add(&remembered, &shares(replay)?)?;
            }
            statistics
        }
    };
    statistics.add(&now.f_narrow(0, 0, new)?, &shares(texts.train)?)?;
    Ok(statistics)
}

/// Adds `factor` times the discriminant of `statistics` to the model's head. Gives what the next update needs: the head without it.
pub fn add_discriminant(model: &Model, statistics: ClassStatistics, factor: f64) -> Result<Option<Kept>, TrainerError> {
    let _guard = tch::no_grad_guard();
    let Some((weight, bias)) = model.head() else {
        return Ok(None);
    };
    let kept = Kept {
        weight: weight.detach().copy(),
        bias: bias.detach().copy(),
        statistics,
    };
    if let Some((more, shift)) = kept.statistics.discriminant()? {
        let scaled = |tensor: &Tensor| tensor.f_mul_scalar(factor)?.f_to_kind(Kind::Float);
        let _ = weight.shallow_clone().f_add_(&scaled(&more)?)?;
        let _ = bias.shallow_clone().f_add_(&scaled(&shift)?)?;
    }
    Ok(Some(kept))
}
