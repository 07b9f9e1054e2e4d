with source as (

    select * from {{ source('lake', 'position_scores') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- changes of open interest
        contracts,
        volume_contracts,
        signed_share,
        change_error_contracts,
        baseline_error_contracts,
        change_skill,
        change_coverage,
        expected_opening_share,
        opening_share,

        -- sides
        counted_contracts,
        net_coverage,
        labelled_prints,
        sign_accuracy,
        sign_brier,
        sign_ece,

        -- truth
        truth_contracts,
        truth_coverage,
        truth_error_contracts,
        naive_error_contracts,
        shrunk_naive_error_contracts,

        -- usual
        sessions_before,
        usual_skill,
        usual_change_coverage,
        usual_ece,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
