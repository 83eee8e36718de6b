// SPDX-License-Identifier: Apache-2.0
// The stream of a teacher-dump through a layer-wise training.
#include "tools/adapters/distillation.hpp"

#include "tools/adapters/loss_summary.hpp"
#include "tools/adapters/student_stream.hpp"

#include <deque>

namespace stillhouse::adapters {

namespace {

/// Tokens that the last teacher-dump of the history was asked for; 0: it went to the end of its text.
Index tokens_asked_for(const formats::List& history)
{
    for (auto entry = history.rbegin(); entry != history.rend(); ++entry) {
        const formats::Value* tool = entry->find("tool");
        if (tool == nullptr || *tool != formats::Value("teacher-dump")) {
            continue;
        }
        const formats::Value* settings = entry->find("settings");
        const formats::Value* limit = settings != nullptr ? settings->find("limit") : nullptr;
        return limit != nullptr && !limit->is_null() ? limit->integer() : 0;
    }
    return 0;
}

std::string losses_text(const std::vector<double>& losses)
{
    double sum = 0.0;
    Index n = 0;
    for (const double loss : losses) {
        sum += loss;
        n += loss > 0.0 ? 1 : 0;
    }
    return std::to_string(sum / static_cast<double>(std::max<Index>(1, n)));
}

}  // namespace

template <class T>
Distillation<T>::Distillation(std::string path, Open open, const Notice& notice, Bad bad, Index epochs)
    : path_(std::move(path)), open_(std::move(open)), bad_(bad), epochs_left_(epochs - 1)
{
    source_ = std::make_unique<ModelSource>(ModelSource::stream(open_(path_), notice));
    model = source_->load<T>(ModelSource::Others::keep, ModelSource::Activations::leave);
    teacher = model.config;
    formats::StreamReader* reader = source_->activations();
    if (reader == nullptr) {
        throw Error(ErrorCode::bad_data, "no activations follow the model: expected the stream of teacher-dump")
            .within(source_->name());
    }
    batches_ = std::make_unique<ActivationBatches<T>>(*reader, teacher.layers, teacher.width, bad);
}

template <class T>
std::optional<training::Activations<T>> Distillation<T>::next()
{
    auto batch = batches_->next();
    while (!batch && epochs_left_ > 0) {
        --epochs_left_;
        again_ = std::make_unique<formats::StreamReader>(open_(path_));
        while (again_->next() != formats::StreamReader::Frame::tensor ||
               !again_->header().name.starts_with("batches.")) {
        }
        batches_ = std::make_unique<ActivationBatches<T>>(*again_, teacher.layers, teacher.width, bad_);
        batch = batches_->next();
    }
    return batch;
}

template <class T>
std::vector<training::Activations<T>> Distillation<T>::keep(Index tokens)
{
    std::vector<training::Activations<T>> kept;
    for (Index have = 0; have < tokens;) {
        auto batch = batches_->next();
        if (!batch) {
            break;
        }
        have += batch->size();
        kept.push_back(std::move(*batch));
    }
    if (kept.empty()) {
        throw_error(ErrorCode::bad_data, "the stream holds no whole batch of activations");
    }
    return kept;
}

template <class T>
Index Distillation<T>::expected_steps(const training::Activations<T>& first, Index rows, Index accumulate) const
{
    const Index tokens = tokens_asked_for(model.info.history) * (epochs_left_ + 1);
    const Index a_step = (rows > 0 ? rows : first.batch) * first.length * accumulate;
    return tokens / a_step;
}

template <class T>
auto Distillation<T>::train(training::LayerwiseTrainer<T>& trainer, std::vector<training::Activations<T>> kept,
                            Index rows, Index accumulate, Index most, const Control& control) -> Progressed
{
    std::deque<training::Activations<T>> first(std::make_move_iterator(kept.begin()),
                                               std::make_move_iterator(kept.end()));
    StepSource<T> source(
        [&]() -> std::optional<training::Activations<T>> {
            if (first.empty()) {
                return next();
            }
            auto batch = std::move(first.front());
            first.pop_front();
            return batch;
        },
        rows, accumulate);
    Progressed done;
    const auto layers = static_cast<std::size_t>(teacher.layers);
    std::vector<std::vector<double>> losses(layers);       // of the steps that trained the layer
    while (most < 0 || trainer.steps() < most) {
        control.throw_if_stopped();
        const auto pieces = source.step();
        if (pieces.empty()) {
            break;
        }
        std::vector<const training::Activations<T>*> views;
        for (const auto& piece : pieces) {
            done.tokens += piece.size();
            views.push_back(&piece);
        }
        const std::vector<double> loss = trainer.step(views);
        for (std::size_t layer = 0; layer < layers; ++layer) {
            if (loss[layer] > 0.0) {
                losses[layer].push_back(loss[layer]);
            }
        }
        control.at(trainer.steps(), most, "mean relative error " + losses_text(loss));
    }
    done.steps = trainer.steps();
    for (const auto& of_layer : losses) {
        const LossSummary summary(of_layer);
        done.first_loss.push_back(summary.first);
        done.last_loss.push_back(summary.last);
    }
    return done;
}

template <class T>
void Distillation<T>::finish()
{
    while (batches_->next()) {
    }
}

template <class T>
Index Distillation<T>::skipped() const
{
    return batches_->skipped();
}

template <class T>
void write_distilled(formats::StreamWriter writer, const Distillation<T>& work, models::Network<T>& student,
                     const std::vector<training::LayerReport>& start,
                     const typename Distillation<T>::Progressed& done)
{
    const auto replaced = [&](std::string_view name) { return name.find(".mixer.") != std::string_view::npos; };
    write_student<T>(writer, work.model.texts, student, work.model.inventory, replaced);
    for (std::size_t i = 0; i < student.config().mixers.size(); ++i) {
        if (student.config().mixers[i].kind == models::MixerKind::attention) {
            continue;
        }
        formats::Note note;
        note.map.emplace_back("about", "layer-distill");
        note.map.emplace_back("layer", static_cast<std::int64_t>(i));
        if (i < start.size()) {
            note.map.emplace_back("explained_before", start[i].explained_before);
            note.map.emplace_back("explained_after", start[i].explained_after);
        }
        if (done.steps > 0) {
            note.map.emplace_back("loss_first", done.first_loss[i]);
            note.map.emplace_back("loss_last", done.last_loss[i]);
        }
        writer.write(note);
    }
    for (const auto& tensor : work.others()) {
        writer.write(tensor);
    }
    writer.finish();
}

template class Distillation<float>;
template class Distillation<double>;
template void write_distilled<float>(formats::StreamWriter, const Distillation<float>&, models::Network<float>&,
                                     const std::vector<training::LayerReport>&,
                                     const Distillation<float>::Progressed&);
template void write_distilled<double>(formats::StreamWriter, const Distillation<double>&, models::Network<double>&,
                                      const std::vector<training::LayerReport>&,
                                      const Distillation<double>::Progressed&);

}  // namespace stillhouse::adapters
