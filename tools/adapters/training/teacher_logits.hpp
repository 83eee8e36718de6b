// SPDX-License-Identifier: Apache-2.0
// Rows of tokens with the logits that a teacher gave them, from a stream of teacher-dump --show logits.
#pragma once

#include "formats/stream/reader.hpp"
#include "libcore/training/memory.hpp"
#include "tools/adapters/training/training_rows.hpp"

namespace stillhouse::adapters {

/// The batches of a dump, with all logits or the largest (--top-k), as TrainingRows gives those of a text.
class TaughtRows {
public:
    using Open = std::function<formats::StreamReader(const std::string&)>;

    /// "-" can be read once. `vocabulary`: of the student. Error{bad_data}: no logits in it, another vocabulary.
    TaughtRows(std::string path, Open open, Index vocabulary);

    /// Of the first batch, which is read with the object; the others are not larger.
    training::PieceShape first_piece() const { return {first_.batch, first_.length}; }
    /// That so many pieces at a time need here: logits in double, and one batch as it is in the stream.
    double bytes(Index pieces) const;

    std::optional<training::TokenRows> next(bool again, const Control& control);
    void used() { position_ = {pass_, batch_, {}}; }
    const RowPosition& position() const { return position_; }
    void seek(RowPosition position);

    /// Gradient steps of `accumulate` batches: as asked for, by steps or by tokens, else a pass of a file (which is
    /// read once to count); -1 of a pipe.
    Index steps(std::optional<Index> asked, std::optional<Index> tokens, Index accumulate) const;
    /// History of the dump as JSON: what it was made by.
    const std::string& history() const { return history_; }

private:
    void begin();
    bool advance();                              // to a tensor of a batch; false at the verified end
    std::optional<training::TokenRows> read();
    std::optional<training::TokenRows> read_on();

    std::string path_;
    Open open_;
    Index vocabulary_;
    std::unique_ptr<formats::StreamReader> reader_;
    std::string history_;
    struct First {
        Index batch = 0, length = 0, columns = 0;
    } first_;
    std::optional<training::TokenRows> ahead_;   // the first batch, until it is asked for
    RowPosition position_;
    Index pass_ = 0, batch_ = 0;                 // where the next batch is
};

}  // namespace stillhouse::adapters
